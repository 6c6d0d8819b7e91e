/** Where to go after sign-in: only a path of this site, whatever the address bar says. */
export function safeNext(next: string | null) {
  if (next === null) return "/";
  const url = new URL(next, "https://here.invalid");
  if (url.origin !== "https://here.invalid" || !next.startsWith("/") || url.pathname === "/sign-in")
    return "/";
  return url.pathname + url.search;
}
