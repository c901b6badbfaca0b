/* What the page's modules share: types, and through `of` (base.js) names that are each set by one module, named beside them.
   The messages of both sides are typed in messages.d.ts. */
import type {
  AlertRule, Alerts, Cell, Facts as SentFacts, Fired, Hello, ImbalanceRule, Level, Listed, Older, Profile, SentView, Stats, Update,
  ViewerMessage, WatchRow,
} from "./messages.d.ts";
import type { Phase } from "./connection.js";
export type * from "./messages.d.ts";

/* Candles by column, also by the name of one. */
export type Facts = { [Name in keyof SentFacts]: SentFacts[Name] };

export type Range = [number, number];

export interface View {
  instrument: string | null;
  minutes: number;
  buffer: number;
  mode: "chart" | "footprint";
  palette: "default" | "safe";
  theme: "auto" | "light" | "dark";
  date: string | null;
  replay: boolean;
  ticks: number;
  cells: "pair" | "delta" | "volume";
}

/* What is held of the view (rows.js). */
export interface Shown {
  mode: "chart" | "footprint";
  rows: Facts | null;
  cells: Cell[];
  step: number;
  ticks: number;
  anchor: string;
  gaps: [string, string][];
  earlierGaps: [string, string][];
  profile: Profile | null;
}

export interface CellStyle {
  form: "full" | "short" | "heat";
  near: boolean;
  column: number;
  row: number;
  size: number;
  every: number;
  number(count: number): string;
  unknown(buy: number, none: number): boolean;
}

/* An axis of the drawn figure, in pixels of its node (plot.js). */
export interface Axis {
  start: number;
  end: number;
  length: number;
  range: Range;
  at(value: number): number;
  value(pixel: number): number;
}

export interface Plot {
  x: Axis;
  price: Axis;
  volume?: Axis;
  delta?: Axis;
  cvd?: Axis;
  sums?: Axis;
  width: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
  inner: { width: number; height: number };
}

/* How words are written on a canvas (draw/pen.js). */
export interface Ink {
  color: string;
  size?: number;
  bold?: boolean;
  face?: string;
  align?: CanvasTextAlign;
  base?: CanvasTextBaseline;
}

/* What a canvas is drawn by: a pen, where the axes lie, and everything that is shown (draw/layers.js). */
export interface Scene {
  pen: CanvasRenderingContext2D;
  plot: Plot;
  colors: import("./colors.js").Colors;
  rows: Facts;
  times: number[];
  base: number;
  settled: number;
  state: Shown;
  style: CellStyle | null;
  sumTicks: [number[], string[]];
  view: View;
  stats: Stats | null;
  waiting: boolean;
  rules: AlertRule[];
  pointed: number | undefined;
  price(value: number | null): string;
}

/* The three-panel chart, and the footprint, once Plotly has drawn their panes. */
export type ChartScene = Scene & { plot: Plot & Required<Pick<Plot, "volume" | "delta" | "cvd">> };
export type FootprintScene = Scene & { plot: Plot & Required<Pick<Plot, "sums">>; style: CellStyle };

export interface Chart {
  state: Shown;
  settled: number;
  readonly div: HTMLElement;
  date: string | null;
  style: CellStyle | null;
  sumTicks: [number[], string[]];
  largest: { level: number; side: number };
}

export interface OlderCandles {
  more: boolean;
  asking: boolean;
  forget(): void;
  seek(range: Range, least: number, all: boolean): void;
}

/* A line of the watch list: its row as it came last, and the nodes that show it. */
export interface WatchLine {
  key: string;
  row: WatchRow;
  last: number | null;
  node: HTMLElement;
  cells: Record<"symbol" | "last" | "change" | "volume" | "delta", HTMLElement>;
  svg: SVGElement;
  path: SVGElement;
}

/* What happens on the page, and what a handler is told of it. */
export interface Events {
  hello: Hello;
  message: Update;
  alerts: Alerts;
  fired: Fired;
  stats: Stats;
  view: View;
  hover: string | null;
  following: boolean;
  connection: { phase: Phase; live: boolean };
  failed: string;
  note: null;
  draw: null;
  drawn: null;
}

type Value = string | number | boolean | null | undefined;
type Listeners = { [Name in keyof HTMLElementEventMap as `on${Name}`]?: (event: HTMLElementEventMap[Name]) => unknown };
type Plain =
  | "action" | "autocomplete" | "autofocus" | "checked" | "class" | "colspan" | "download" | "height" | "href" | "id" | "max" | "method" | "min"
  | "placeholder" | "role" | "spellcheck" | "step" | "title" | "type" | "value" | "width";
export type Attributes = Listeners & { [Name in Plain]?: Value } & { [name: `aria-${string}` | `data-${string}`]: Value };
export type Child = Node | string | null;
type Key = string | null;
type Format = (value: number | null | undefined) => string;

export interface Page {
  /* base.js */
  view: View;
  instruments: Listed[];
  decimals: Record<string, number>;
  rows: Facts | null;
  handlers: { [Name in keyof Events]: ((value: Events[Name]) => void)[] };
  offsetMs: number;
  failures: Map<string, number>;
  el<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, attributes?: Attributes, ...children: (Child | Child[])[]): HTMLElementTagNameMap[Tag];
  byId(id: string): HTMLElement;
  on<Name extends keyof Events>(name: Name, handler: (value: Events[Name]) => void): void;
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void;
  report(error: unknown, where: string): void;
  logIn(): void;
  fetch(address: URL | string, options?: RequestInit): Promise<Response>;
  text(node: Node, value: string): void;
  klass(node: Element, value: string): void;
  press(button: Element, on: boolean): void;
  price(value: number | null | undefined, key?: Key): string;
  whole: Format;
  signed: Format;
  percent(value: number | null | undefined, digits?: number): string;
  short(value: number | null | undefined, plus?: boolean): string;
  clock(ms: number | null | undefined, fraction?: boolean): string;
  sign(value: number): "up" | "down" | "flat";
  symbolOf(key: Key): string;
  nameOf(key: Key): string;
  keep(name: string, value: unknown): void;
  kept(name: string): unknown;
  /* socket.js */
  latency: { samples: number[]; last: number | null; lastAt: number };
  imbalances: ImbalanceRule | null;
  refused: string | null;
  serverNow(): number;
  send(message: ViewerMessage): void;
  ask(): void;
  release(): void;
  startSocket(): void;
  /* chart.js */
  chart: Chart;
  plot(): Plot | null;
  live: boolean;
  isFollowing(): boolean;
  setFollowing(yes: boolean): void;
  shows(view: SentView): boolean;
  base(): number;
  span(): [number, number];
  columns(): { cell: Cell; column: number }[];
  formingColumn(): number;
  times(): number[];
  takeEarlier(answer: Older): void;
  refit(): void;
  follow(): void;
  startChart(): void;
  /* zoom.js */
  zoomTime(factor: number, pixel: number): void;
  panTime(pixels: number): void;
  panShare(share: number): void;
  resetZoom(): void;
  zoomPrice(factor: number): void;
  fitPrice(): void;
  /* older.js */
  older: OlderCandles;
  /* pointer.js */
  priceAt(x: number, y: number): number | null;
  startPointer(): void;
  /* draw/layers.js */
  drawNumbers(): void;
  drawLive(): void;
  drawOnto(picture: CanvasRenderingContext2D, left: number, top: number, scale: number): void;
  liveCanvas(): HTMLCanvasElement | undefined;
  /* panels/ */
  stats: Stats | null;
  legendRow: number | undefined;
  lastPrice(key: Key): number | null;
  watchOrder(): WatchLine[];
  markChosen(): void;
  pointStep(by: number): void;
  startLatency(): void;
  /* controls.js */
  keys: Record<string, () => unknown>;
  waiting: boolean;
  choose(change: Partial<View>): void;
  readUrl(): void;
  startControls(): void;
  /* theme.js */
  switchTheme(): void;
  startTheme(): void;
  /* hints.js */
  startHints(): void;
  /* past.js */
  startPast(): void;
  /* alerts.js */
  unread: number;
  alertRules(): AlertRule[];
  priceRules(): AlertRule[];
  startAlerts(): void;
  /* export.js */
  csv(): string;
  png(): Promise<Blob>;
  startExport(): void;
  /* dialog.js */
  openDialog(title: string, ...content: (Child | Child[])[]): HTMLDialogElement;
  openMenu(x: number, y: number, items: [string, () => void][]): void;
}

declare global {
  interface Window {
    orderflow: Page;
    Plotly?: import("./plot.js").Library;
  }
}
