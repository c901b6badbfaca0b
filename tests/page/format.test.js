import assert from "node:assert/strict";
import { test } from "node:test";

import { brief, clock, dayOf, imbalanceWords, labelOf, momentOf, percent, price, short, signed, whole } from "../../orderflow/dashboard/page/format.js";

test("prices and counts are grouped in lakh and crore", () => {
  assert.deepEqual([price(1234567.5), price(90.4275, 4), whole(12345678), signed(-150000), signed(42)], ["12,34,567.50", "90.4275", "1,23,45,678", "−1,50,000", "+42"]);
  assert.deepEqual([price(null), whole(undefined), signed(NaN), percent(null)], ["–", "–", "–", "–"]);
});

for (const [value, words] of /** @type {[number, string][]} */ ([[0, "0"], [950, "+950"], [4273, "+4,273"], [-12345, "−12.3K"], [456789, "+4.57L"], [-12000000, "−1.20Cr"]]))
  test(`${value} is written ${words} where there is little room`, () => assert.equal(short(value, true), words));

for (const [value, words] of /** @type {[number, string][]} */ ([[999, "999"], [1000, "1.0K"], [9949, "9.9K"], [9950, "10K"], [99499, "99K"], [99500, "1.0L"], [994999, "9.9L"], [5000000, "50L"], [12000000, "1.2Cr"], [250000000, "25Cr"]]))
  test(`${value} is ${words} in a cell, of four letters at most`, () => {
    assert.equal(brief(value), words);
    assert.ok(words.length <= 4 || words.endsWith("Cr"));
  });

test("times are those of India", () => {
  assert.equal(clock(Date.UTC(2025, 11, 15, 3, 45, 7, 250), true), "09:15:07.250");
  assert.equal(labelOf(Date.UTC(2025, 11, 14, 20, 0)), "2025-12-15 01:30:00");
  assert.equal(momentOf("2025-12-15 09:15:00"), Date.UTC(2025, 11, 15, 3, 45));
  assert.equal(dayOf("2025-12-05 09:15:00"), "5 Dec");
});

test("what makes a cell bold is said with the precision that was measured for it, if any", () => {
  const rule = { ratio: 3, floor: 0.02, ignore_zero: true };
  assert.equal(
    imbalanceWords({ ...rule, precision: [0.61, 0.745] }),
    "at least 3 to 1 against the neighbouring tick of the other side that traded, and 2 % of the candle's volume." +
      " On the simulated market 61 to 75 % of such marks were real, with one tick per row.",
  );
  assert.match(imbalanceWords({ ...rule, ignore_zero: false, precision: null }), /other side, and 2 % .* measured only for 3 to 1 and 2 %\.$/);
});
