import type { ReactNode } from "react";

type Props = { title: string; hint?: string; action?: ReactNode };

/** Says that there is nothing, and what to do about it. */
export function EmptyState({ title, hint, action }: Props) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-12 text-center">
      <p className="font-semibold">{title}</p>
      {hint !== undefined && <p className="text-muted max-w-prose">{hint}</p>}
      {action}
    </div>
  );
}
