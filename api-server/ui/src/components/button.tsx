import { cva, type VariantProps } from "class-variance-authority";
import type { ComponentProps } from "react";
import { cn } from "./class-names";

const variants = cva(
  "inline-flex items-center justify-center gap-2 rounded-md font-semibold transition-colors disabled:cursor-not-allowed disabled:opacity-60",
  {
    variants: {
      variant: {
        primary: "bg-brand-fill text-on-brand hover:brightness-110",
        secondary: "bg-sunken text-text border border-line hover:bg-line",
        ghost: "text-text hover:bg-sunken",
      },
      size: { normal: "h-9 px-4", small: "h-8 px-2.5 text-xs", icon: "size-9" },
    },
    defaultVariants: { variant: "secondary", size: "normal" },
  },
);

type Props = ComponentProps<"button"> & VariantProps<typeof variants>;

export function Button({ className, variant, size, type = "button", ...rest }: Props) {
  return <button type={type} className={cn(variants({ variant, size }), className)} {...rest} />;
}
