import { useTranslation } from "react-i18next";
import type { Overview } from "../../api/types";
import { TenantLink } from "../../app/tenant-link";
import { severities, SeverityBadge } from "../../components/severity-badge";

/** Open findings by severity; each line leads to its findings. */
export function SeverityCounts({ counts }: { counts: Overview["findings"] }) {
  const { i18n } = useTranslation();
  return (
    <ul className="flex flex-col gap-1">
      {severities.map((severity) => (
        <li key={severity}>
          <TenantLink
            to="/findings"
            search={{ severity }}
            className="hover:bg-sunken -mx-2 flex items-center justify-between rounded px-2 py-1.5"
          >
            <SeverityBadge severity={severity} />
            <span className="text-2xl font-bold">{counts[severity].toLocaleString(i18n.language)}</span>
          </TenantLink>
        </li>
      ))}
    </ul>
  );
}
