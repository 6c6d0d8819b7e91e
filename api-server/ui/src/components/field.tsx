import { useId, type ComponentProps, type ReactNode } from "react";
import { cn } from "./class-names";

const box = "border-line bg-surface h-9 w-full rounded-md border px-3";

type Common = { label: ReactNode; error?: string | undefined; className?: string };

export function TextField({ label, error, className, ...rest }: Common & ComponentProps<"input">) {
  const id = useId();
  return (
    <div className={cn("flex flex-col gap-1", className)}>
      <label htmlFor={id} className="text-muted text-xs font-semibold">
        {label}
      </label>
      <input
        id={id}
        className={box}
        aria-invalid={error !== undefined}
        aria-describedby={`${id}-error`}
        {...rest}
      />
      <p id={`${id}-error`} className="text-critical text-xs empty:hidden">
        {error}
      </p>
    </div>
  );
}

export function SelectField({ label, className, children, ...rest }: Common & ComponentProps<"select">) {
  const id = useId();
  return (
    <div className={cn("flex flex-col gap-1", className)}>
      <label htmlFor={id} className="text-muted text-xs font-semibold">
        {label}
      </label>
      <select id={id} className={box} {...rest}>
        {children}
      </select>
    </div>
  );
}
