import { useTranslation } from "react-i18next";
import { EmptyState } from "../components/empty-state";
import { TenantLink } from "./tenant-link";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <EmptyState
      title={t("app.notFound")}
      action={
        <TenantLink to="/" className="text-link underline">
          {t("app.toOverview")}
        </TenantLink>
      }
    />
  );
}
