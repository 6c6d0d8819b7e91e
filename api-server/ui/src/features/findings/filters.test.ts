import { expect, test } from "vitest";
import { queryOf } from "./filters";

const defaults = { page: 1, page_size: 25, status: "open", sort: "-severity" };

test.each([
  ["", defaults],
  ["page=3", { ...defaults, page: 3 }],
  ["page=-1", defaults],
  ["page=x", defaults],
  ["severity=high&q=ssh", { ...defaults, severity: "high", q: "ssh" }],
  ["severity=", defaults],
  ["tenant=acme&finding=1", defaults],
  ["status=all", { ...defaults, status: "all" }],
  ["cursor=abc&page=2", { page_size: 25, status: "open", sort: "-severity", cursor: "abc" }],
])("the address ?%s asks for it", (address, query) => {
  expect(queryOf(new URLSearchParams(address))).toEqual(query);
});
