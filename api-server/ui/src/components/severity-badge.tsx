import { useTranslation } from "react-i18next";
import { cn } from "./class-names";

export const severities = ["critical", "high", "medium", "low"] as const;
export type Severity = (typeof severities)[number];

const tones: Record<Severity, string> = {
  critical: "bg-critical-soft text-critical",
  high: "bg-high-soft text-high",
  medium: "bg-medium-soft text-medium",
  low: "bg-low-soft text-low",
};

function isSeverity(value: string): value is Severity {
  return (severities as readonly string[]).includes(value);
}

export function SeverityBadge({ severity: value }: { severity: string }) {
  const { t } = useTranslation();
  const severity = isSeverity(value) ? value : "low";
  return (
    <span className={cn("inline-block rounded px-2 py-0.5 text-xs font-semibold", tones[severity])}>
      {t(`severity.${severity}`)}
    </span>
  );
}
