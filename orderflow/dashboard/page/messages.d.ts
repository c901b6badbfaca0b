/* Written from orderflow/dashboard/state/messages.py by `python -m docs.page_types`; not to be edited. */

export type Level = [number, number, number, number, number];

export type Trade = [number, number, number, number, number, number, string, boolean, boolean];

export type AlertKind = "above" | "below" | "delta" | "volume" | "imbalance";

export type ServerMessage = Update | Hello | Alerts | Fired | Pong | Beat;

export type ViewerMessage = ViewRequest | Ack | Ping | ReplayControl | AlertChange | PageError;

export interface Ack {
  type: "ack";
  seq: number;
  latency_ms?: number[];
}

export interface AlertChange {
  type: "alerts";
  viewer?: string | null;
  add?: AlertWish[];
  remove?: string[];
}

export interface AlertRule {
  id: string;
  key: string;
  kind: AlertKind;
  value: number;
  least: number | null;
  sound: boolean;
  notify: boolean;
  webhook: boolean;
}

export interface AlertWish {
  id: string;
  key: string;
  kind: AlertKind;
  value: number;
  least?: number | null;
  sound?: boolean;
  notify?: boolean;
  webhook?: boolean;
}

export interface Alerts {
  type: "alerts";
  rules: AlertRule[];
  log: FiredAlert[];
  webhook: boolean;
  problem: string | null;
}

export interface Banner {
  level: "info" | "warning" | "error";
  code: string;
  text: string;
}

export interface Beat {
  type: "beat";
  server_ms: number;
}

export interface Cell {
  x: string;
  open: number | null;
  high: number | null;
  low: number | null;
  close: number | null;
  gap: boolean;
  levels: Level[];
}

export interface Coverage {
  share: number;
  from_ms: number;
}

export interface Depth {
  bid: [number, number][];
  ask: [number, number][];
  time_ms: number | null;
}

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
  gap: boolean[];
  session_phase: string[];
  auction_volume: number[];
  tick_volume: number[];
  tick_count: number[];
  tbq: (number | null)[];
  tsq: (number | null)[];
  source: string[];
  cvd: number[];
  vwap: (number | null)[];
  sigma: (number | null)[];
  final: boolean[];
}

export interface Fired {
  type: "fired";
  alert: FiredAlert;
}

export interface FiredAlert {
  number: number;
  at_ms: number;
  price: number;
  words: string;
  rule: AlertRule;
}

export interface Hello {
  type: "hello";
  instruments: Listed[];
  minutes: number[];
  imbalances: ImbalanceRule;
  decimals: Record<string, number>;
  user: LoggedIn | null;
  server_ms: number;
}

export interface ImbalanceRule {
  ratio: number;
  floor: number;
  ignore_zero: boolean;
  precision: [number, number] | null;
}

export interface Levels {
  poc: number | null;
  low: number | null;
  high: number | null;
}

export interface Listed {
  key: string;
  symbol: string;
  name: string;
}

export interface LoggedIn {
  name: string;
  role: "viewer" | "operator" | null;
  session: boolean;
}

export interface Minute {
  start_ms: number;
  volume: number;
  delta: number;
  imbalance: number | null;
  average_volume: number | null;
}

export interface NewestCandle {
  start_ms: number;
  end_ms: number;
  volume: number;
  delta: number;
  buy: number;
  sell: number;
  final: boolean;
}

export interface Older {
  instrument: string;
  minutes: number;
  mode: "chart" | "footprint";
  before: number;
  date: string | null;
  live: boolean;
  more: boolean;
  from: string | null;
  facts: Facts;
  gaps?: [string, string][];
  cells?: Cell[];
}

export interface PageError {
  type: "error";
  text: string;
}

export interface Ping {
  type: "ping";
  t: number;
}

export interface Pong {
  type: "pong";
  t: number;
  server_ms: number;
}

export interface Profile {
  poc: number | null;
  low: number | null;
  high: number | null;
  price: number[];
  height: number;
  buy: number[];
  sell: number[];
  unclassified: number[];
  inside: boolean[];
  unpriced: number;
}

export interface ReplayControl {
  type: "replay";
  speed?: number | null;
  position_ms?: number | null;
  playing?: boolean | null;
}

export interface ReplayState {
  position_ms: number;
  start_ms: number;
  end_ms: number;
  speed: number;
  playing: boolean;
  speeds: number[];
}

export interface SentView {
  instrument: string;
  minutes: number;
  buffer: number;
  mode: "chart" | "footprint";
  date: string | null;
  replay: boolean;
  ticks: number;
}

export interface Stats {
  last: number | null;
  previous_close: number | null;
  change: number | null;
  change_percent: number | null;
  open: number | null;
  high: number | null;
  low: number | null;
  volume: number;
  seen_volume: number;
  coverage: Coverage | null;
  buy: number;
  sell: number;
  unclassified: number;
  ratio: number | null;
  delta: number;
  cvd: number;
  vwap: number | null;
  tbq: number | null;
  tsq: number | null;
  oi: number | null;
  iv: number | null;
  candle: NewestCandle | null;
  confidence: string | null;
  updated_ms: number | null;
  received_ms: number | null;
  late_volume: number;
  outside_volume: number;
  date: string;
}

export interface Update {
  type?: "whole" | "patch";
  seq?: number;
  sent_ms?: number;
  request?: number | null;
  mode?: "chart" | "footprint";
  view?: SentView;
  date?: string;
  live?: boolean;
  from?: string;
  facts?: Facts;
  profile?: Profile;
  gaps?: [string, string][];
  cells?: Cell[];
  step?: number;
  ticks?: number;
  levels?: Levels;
  stats?: Stats;
  depth?: Depth;
  tape?: Trade[];
  rx?: number[];
  watch?: WatchRow[];
  stale?: string[];
  banners?: Banner[];
  replay?: ReplayState | null;
}

export interface ViewRequest {
  type: "view";
  request?: number | null;
  instrument?: string | null;
  minutes?: number | null;
  buffer?: number | null;
  mode?: "chart" | "footprint" | null;
  ticks?: number | null;
  date?: string | null;
  replay?: boolean;
}

export interface WatchRow {
  key: string;
  symbol: string;
  name: string;
  last: number | null;
  change_percent: number | null;
  volume: number;
  delta: number;
  minute: Minute | null;
  reading?: boolean;
  spark?: number[];
  previous_close?: number | null;
}
