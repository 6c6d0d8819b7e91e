import { useTranslation } from "react-i18next";
import type { Condition } from "../../api/types";
import { cn } from "../../components/class-names";

const words = { True: "tenants.yes", False: "tenants.no" } as const;
const tones = { True: "bg-ok-soft text-ok", False: "bg-critical-soft text-critical" } as const;

/** A condition's status as a word and a colour; the reason beside it says why. */
export function Readiness({ status }: { status: Condition["status"] }) {
  const { t } = useTranslation();
  const known = status === "True" || status === "False" ? status : undefined;
  return (
    <span
      className={cn(
        "inline-block rounded px-2 py-0.5 text-xs font-semibold",
        known ? tones[known] : "bg-medium-soft text-medium",
      )}
    >
      {t(known ? words[known] : "tenants.unknown")}
    </span>
  );
}

/** The condition Ready; Unknown until the operator has looked. */
export function readyOf(conditions: Condition[]): Condition["status"] {
  return conditions.find((condition) => condition.type === "Ready")?.status ?? "Unknown";
}
