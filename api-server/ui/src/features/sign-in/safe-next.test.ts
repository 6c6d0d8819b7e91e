import { expect, test } from "vitest";
import { safeNext } from "./safe-next";

test.each([
  [null, "/"],
  ["/findings?severity=high", "/findings?severity=high"],
  ["//evil.example/x", "/"],
  ["https://evil.example", "/"],
  ["/\\evil.example", "/"],
  ["javascript:alert(1)", "/"],
  ["/sign-in?next=/", "/"],
])("%s leads to %s", (next, path) => {
  expect(safeNext(next)).toBe(path);
});
