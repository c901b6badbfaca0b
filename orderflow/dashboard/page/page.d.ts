/* What the page's modules share: through `of` (base.js) names that are each set by one module, named beside it, and types. What comes
   from the server is typed in messages.d.ts. */
import type { AlertRule, Cell, Facts as SentFacts, ImbalanceRule, Level, Listed, Profile, Stats } from "./messages.d.ts";
export type { AlertRule, Cell, ImbalanceRule, Level, Listed, Profile, Stats };

/* Candles by column, also by the name of one. */
export type Facts = SentFacts & { [name: string]: any[] };

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
  range: [number, number];
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
  plot: Required<Plot>;
  colors: import("./colors.js").Colors;
  rows: Facts;
  times: number[];
  base: number;
  settled: number;
  state: Shown;
  style: CellStyle;
  sumTicks: [number[], string[]];
  view: View;
  stats: Stats | null;
  waiting: boolean;
  rules: AlertRule[];
  pointed: number | undefined;
  price(value: number | null): string;
}

export interface Chart {
  state: Shown;
  settled: number;
  div: any;
  date: string | null;
  style: CellStyle | null;
  sumTicks: [number[], string[]];
  largest?: { level: number; side: number };
}

type Format = (value: number | null | undefined, ...more: any[]) => string;
type Key = string | null;

export interface Page {
  /* base.js */
  view: View;
  instruments: Listed[];
  decimals: Record<string, number>;
  rows: Facts | null;
  handlers: Record<string, ((value: any) => void)[]>;
  offsetMs: number;
  failures: Map<string, number>;
  el(tag: string, attributes?: Record<string, any> | null, ...children: any[]): any;
  byId(id: string): any;
  on(name: string, handler: (value: any) => void): void;
  emit(name: string, value?: any): void;
  report(error: any, where: string): void;
  logIn(): void;
  fetch(address: URL | string, options?: RequestInit): Promise<Response>;
  text(node: Node, value: string): void;
  klass(node: Element, value: string): void;
  press(button: Element, on: boolean): void;
  price: Format;
  whole: Format;
  signed: Format;
  percent: Format;
  short: Format;
  clock(ms: number | null | undefined, fraction?: boolean): string;
  sign(value: number): "up" | "down" | "flat";
  symbolOf(key: Key): string;
  nameOf(key: Key): string;
  keep(name: string, value: any): void;
  kept(name: string, fallback?: any): any;
  /* socket.js */
  latency: { samples: number[]; last: number | null; lastAt: number };
  imbalances: ImbalanceRule;
  refused: string | null;
  serverNow(): number;
  send(message: Record<string, any>): void;
  ask(): void;
  release(): void;
  startSocket(): void;
  /* chart.js */
  chart: Chart;
  plot(): Plot | null;
  toMs(label: string): number;
  toLabel(ms: number): string;
  isFollowing(): boolean;
  shows(view: View): boolean;
  base(): number;
  columns(): { cell: Cell; column: number }[];
  formingColumn(): number;
  times(): number[];
  takeEarlier(answer: any): void;
  refit(): void;
  zoomTime(factor: number, pixel: number): void;
  panTime(pixels: number): void;
  panShare(share: number): void;
  resetZoom(): void;
  zoomPrice(factor: number): void;
  fitPrice(): void;
  follow(): void;
  begins(index: number): boolean;
  startChart(): void;
  /* older.js */
  older: any;
  /* pointer.js */
  priceAt(x: number, y: number): number | null;
  startPointer(): void;
  /* draw/layers.js */
  drawNumbers(): void;
  drawLive(): void;
  drawOnto(picture: CanvasRenderingContext2D, left: number, top: number, scale: number): void;
  liveCanvas(): HTMLCanvasElement;
  /* panels.js */
  stats: Stats | null;
  live: boolean;
  legendRow: number | undefined;
  lastPrice(key: Key): number | null;
  watchOrder(): { key: string; node: HTMLElement; row: any }[];
  markChosen(): void;
  pointStep(by: number): void;
  feedNow(): number;
  startPanels(): void;
  /* controls.js */
  keys: Record<string, () => any>;
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
  png(): Promise<Blob | null>;
  saveCsv(): void;
  openDialog(title: string, ...content: any[]): HTMLDialogElement;
  openMenu(x: number, y: number, items: [string, () => void][]): void;
  startExport(): void;
}

declare global {
  interface Window {
    orderflow: Page;
    Plotly: any;
  }
}
