/* The names that the page's modules share through `of` (base.js). Each is set by one module, named beside it. */

export interface View {
  instrument: string | null;
  minutes: number;
  buffer: number;
  mode: "chart" | "footprint";
  palette: "default" | "safe";
  date: string | null;
  replay: boolean;
  ticks: number;
  cells: "pair" | "delta" | "volume";
}

export interface Listed {
  key: string;
  symbol: string;
  name: string;
}

/* One column per field of a candle, as views/chart.py `facts` writes them. */
export interface Facts {
  x: string[];
  window_end: string[];
  open: (number | null)[];
  high: (number | null)[];
  low: (number | null)[];
  close: (number | null)[];
  total_volume: number[];
  buy_volume: number[];
  sell_volume: number[];
  unclassified_volume: number[];
  delta: number[];
  min_delta: number[];
  max_delta: number[];
  delta_band: (number | null)[];
  confidence: (string | null)[];
  imbalance: (number | null)[];
  exchange_bar: boolean[];
  source: string[];
  gap: boolean[];
  cvd: number[];
  vwap: (number | null)[];
  final: boolean[];
  [name: string]: any[];
}

/* As state/alerts.py `Rule`. */
export interface Rule {
  id: string;
  key: string;
  kind: "above" | "below" | "delta" | "volume" | "imbalance";
  value: number;
  least: number | null;
  sound: boolean;
  notify: boolean;
  webhook: boolean;
}

/* As views/panels.py `statistics`. */
export interface Stats {
  last: number | null;
  previous_close: number | null;
  change: number | null;
  change_percent: number | null;
  open: number | null;
  high: number | null;
  low: number | null;
  vwap: number | null;
  volume: number;
  seen_volume: number;
  coverage: { share: number; from_ms: number } | null;
  received_ms: number | null;
  updated_ms: number | null;
  [name: string]: any;
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
  imbalances: { ratio: number; floor: number; ignore_zero: boolean; precision: [number, number] | null };
  refused: string | null;
  serverNow(): number;
  send(message: Record<string, any>): void;
  ask(): void;
  release(): void;
  startSocket(): void;
  /* chart.js */
  chart: any;
  toMs(label: string): number;
  toLabel(ms: number): string;
  isFollowing(): boolean;
  shows(view: View): boolean;
  trace(uid: string): any;
  place(trace: any, name: string): [any, string];
  base(): number;
  lowerBound(values: any[], value: any): number;
  times(): number[];
  refit(): void;
  zoomTime(factor: number, pixel: number): void;
  panTime(pixels: number): void;
  panShare(share: number): void;
  resetZoom(): void;
  zoomPrice(factor: number): void;
  fitPrice(): void;
  follow(): void;
  levels(): [number, number, number, number, number][];
  strong(): number[];
  day(label: string): string;
  begins(index: number): boolean;
  startChart(): void;
  /* older.js */
  older: any;
  cutColumns(trace: any, from: number, to: number): any;
  /* pointer.js */
  priceAt(x: number, y: number): number | null;
  startPointer(): void;
  /* live.js */
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
  query(full: boolean): Record<string, any>;
  choose(change: Partial<View>): void;
  readUrl(): void;
  startControls(): void;
  /* past.js */
  startPast(): void;
  /* alerts.js */
  unread: number;
  alertRules(): Rule[];
  priceRules(): Rule[];
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
