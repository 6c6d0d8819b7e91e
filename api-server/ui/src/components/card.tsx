import type { ReactNode } from "react";
import { cn } from "./class-names";

type Props = { title?: ReactNode; action?: ReactNode; className?: string; children: ReactNode };

export function Card({ title, action, className, children }: Props) {
  return (
    <section className={cn("bg-surface border-line shadow-card rounded-lg border p-4", className)}>
      {(title !== undefined || action !== undefined) && (
        <div className="mb-3 flex items-center justify-between gap-2">
          <h2 className="text-sm font-semibold">{title}</h2>
          {action}
        </div>
      )}
      {children}
    </section>
  );
}
