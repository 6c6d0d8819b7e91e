// The list's state is the address: what is filtered, how it is sorted, which page, which finding is open.
import { useSearchParams } from "react-router";
import type { FindingQuery } from "../../api/types";

export const pageSize = 25;

const kept = ["severity", "status", "q", "sort"] as const;
export type Filter = (typeof kept)[number];

/** The query that an address asks for; open findings, worst first, where it says nothing. */
export function queryOf(parameters: URLSearchParams) {
  const page = Number(parameters.get("page") ?? "1");
  const cursor = parameters.get("cursor");
  const query: Record<string, string | number> = {
    ...(cursor === null ? { page: Number.isInteger(page) && page > 0 ? page : 1 } : { cursor }),
    page_size: pageSize,
    status: "open",
    sort: "-severity",
  };
  for (const name of kept) {
    const value = parameters.get(name);
    if (value !== null && value !== "") query[name] = value;
  }
  return query as FindingQuery;
}

export function useFilters() {
  const [parameters, setParameters] = useSearchParams();
  const set = (name: string, value: string | null) => {
    setParameters((before) => {
      const next = new URLSearchParams(before);
      if (value === null || value === "") next.delete(name);
      else next.set(name, value);
      // A page and a cursor exclude each other, and belong to the filters they were asked with.
      for (const place of ["page", "cursor"]) {
        if (name !== place && name !== "finding") next.delete(place);
      }
      return next;
    });
  };
  const clear = () => {
    setParameters((before) => {
      const tenant = before.get("tenant");
      return new URLSearchParams(tenant === null ? {} : { tenant });
    });
  };
  return { parameters, query: queryOf(parameters), open: parameters.get("finding"), set, clear };
}
