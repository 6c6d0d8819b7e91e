import { useTranslation } from "react-i18next";
import type { Finding } from "../../api/types";
import { RelativeTime } from "../../components/relative-time";
import { SeverityBadge } from "../../components/severity-badge";

type Props = { findings: Finding[]; onOpen: (id: string) => void };

export function FindingTable({ findings, onOpen }: Props) {
  const { t } = useTranslation();
  return (
    <div className="overflow-x-auto">
      <table className="w-full text-start">
        <thead className="text-muted border-line border-b text-xs">
          <tr>
            {(["severity", "what", "asset", "since"] as const).map((column) => (
              <th key={column} scope="col" className="px-2 py-2 text-start font-semibold">
                {t(`findings.${column}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-line divide-y">
          {findings.map((finding) => (
            <tr key={finding.id} className="hover:bg-sunken align-top">
              <td className="px-2 py-2">
                <SeverityBadge severity={finding.severity} />
              </td>
              <td className="px-2 py-2">
                <button
                  type="button"
                  className="text-link text-start font-medium hover:underline"
                  onClick={() => {
                    onOpen(finding.id);
                  }}
                >
                  {finding.title}
                </button>
                <span className="text-muted block text-xs" dir="ltr">
                  {finding.resource}
                </span>
              </td>
              <td className="px-2 py-2">{finding.asset.name}</td>
              <td className="text-muted px-2 py-2 whitespace-nowrap">
                <RelativeTime at={finding.first_seen_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
