// The API as typed calls. Tokens live in HttpOnly cookies that no script can read; when the access token has run out,
// one refresh is tried for all calls that wait, and then the session is over.
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./schema";

/** An answer of the API that is not a success: its stable code, its sentence, and the trace id of its log line. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly traceId: string | undefined,
  ) {
    super(message);
    this.name = "ApiProblem";
  }
}

/** Marks calls of a browser: the server answers a sign-in with cookies instead of tokens. */
const browser = { "x-tenantra-browser": "1" };

let refreshing: Promise<boolean> | undefined;

function refreshSession() {
  refreshing ??= fetch("/v1/auth/refresh", { method: "POST", headers: browser })
    .then((response) => response.ok)
    .catch(() => false)
    .finally(() => {
      refreshing = undefined;
    });
  return refreshing;
}

const session: Middleware = {
  async onResponse({ request, response }) {
    if (response.status !== 401 || request.url.includes("/v1/auth/")) return response;
    if (!(await refreshSession())) return response;
    return fetch(retryable(request));
  },
};

function retryable(request: Request) {
  // Only reads are sent again: their request has no body that was used up.
  return request.method === "GET" ? new Request(request.url, { headers: request.headers }) : request;
}

export const api = createClient<paths>({ headers: browser });
api.use(session);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The body of a success, or an `ApiProblem` thrown. */
export async function body<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  throw problemOf(response, error);
}

function problemOf(response: Response, error: unknown) {
  const envelope = typeof error === "object" && error !== null ? (error as Record<string, unknown>) : {};
  const text = (key: string) => (typeof envelope[key] === "string" ? envelope[key] : undefined);
  return new ApiProblem(
    response.status,
    text("code") ?? "unknown",
    text("message") ?? response.statusText,
    text("trace_id") ?? response.headers.get("x-trace-id") ?? undefined,
  );
}

/** The header that names the tenant one looks at; who has exactly one tenant needs none. */
export function tenantHeader(tenant: string | null) {
  return tenant === null ? {} : { "X-Tenantra-Tenant": tenant };
}
