import { useTranslation } from "react-i18next";
import { cn } from "../../components/class-names";

export function LiveBadge({ isLive }: { isLive: boolean }) {
  const { t } = useTranslation();
  return (
    <p aria-live="polite" className="text-muted flex items-center gap-2 text-xs">
      <span aria-hidden="true" className={cn("size-2 rounded-full", isLive ? "bg-ok" : "bg-medium")} />
      {t(isLive ? "tenants.live" : "tenants.offline")}
    </p>
  );
}
