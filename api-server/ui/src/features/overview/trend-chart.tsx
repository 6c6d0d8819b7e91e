import { useTranslation } from "react-i18next";
import { Area, AreaChart, ResponsiveContainer, Tooltip, XAxis, YAxis } from "recharts";
import type { Overview } from "../../api/types";

/** The score, day by day. One day is no trend: then a sentence says when it starts. */
export function TrendChart({ days }: { days: Overview["trend"] }) {
  const { t } = useTranslation();
  if (days.length < 2) return <p className="text-muted">{t("overview.trendEmpty")}</p>;
  return (
    <div
      className="h-48"
      role="img"
      aria-label={days.map((day) => `${day.day}: ${day.score ?? "–"}`).join(", ")}
    >
      <ResponsiveContainer>
        <AreaChart data={days} margin={{ top: 4, right: 4, bottom: 0, left: -24 }}>
          <XAxis dataKey="day" tick={{ fontSize: 11, fill: "var(--text-muted)" }} tickLine={false} />
          <YAxis domain={[0, 100]} tick={{ fontSize: 11, fill: "var(--text-muted)" }} tickLine={false} />
          <Tooltip contentStyle={{ background: "var(--surface)", borderColor: "var(--line)" }} />
          <Area dataKey="score" stroke="var(--brand)" fill="var(--brand)" fillOpacity={0.15} />
        </AreaChart>
      </ResponsiveContainer>
    </div>
  );
}
