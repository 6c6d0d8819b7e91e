import { cn } from "./class-names";

/** What stands in a card's place until its numbers are there; hidden from screen readers, who hear the live region. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden="true" className={cn("bg-line animate-pulse rounded", className)} />;
}
