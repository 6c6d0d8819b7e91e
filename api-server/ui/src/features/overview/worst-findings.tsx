import { useTranslation } from "react-i18next";
import type { Overview } from "../../api/types";
import { TenantLink } from "../../app/tenant-link";
import { SeverityBadge } from "../../components/severity-badge";

export function WorstFindings({ findings }: { findings: Overview["worst_findings"] }) {
  const { t } = useTranslation();
  if (findings.length === 0) return <p className="text-muted">{t("overview.worstEmpty")}</p>;
  return (
    <ul className="divide-line divide-y">
      {findings.map((finding) => (
        <li key={finding.id}>
          <TenantLink
            to="/findings"
            search={{ finding: finding.id }}
            className="hover:bg-sunken -mx-2 flex items-start gap-3 rounded px-2 py-2"
          >
            <SeverityBadge severity={finding.severity} />
            <span className="min-w-0">
              <span className="block font-medium">{finding.title}</span>
              <span className="text-muted block truncate text-xs" dir="ltr">
                {finding.asset.name} · {finding.resource}
              </span>
            </span>
          </TenantLink>
        </li>
      ))}
    </ul>
  );
}
