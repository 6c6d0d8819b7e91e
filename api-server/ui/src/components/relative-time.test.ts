import { expect, test } from "vitest";
import { relative } from "./relative-time";

const now = Date.UTC(2026, 0, 10, 12);

test.each([
  [0, "now"],
  [59_000, "now"],
  [61_000, "1 minute ago"],
  [3 * 3_600_000, "3 hours ago"],
  [36 * 3_600_000, "yesterday"],
  [40 * 86_400_000, "last month"],
])("%i ms ago reads %s", (ago, words) => {
  expect(relative(now - ago, now, "en")).toBe(words);
});
