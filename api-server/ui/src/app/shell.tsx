// The frame of every page: navigation by role, the tenant one looks at, who is signed in.
import { Building2, LayoutDashboard, LogOut, TriangleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";
import { Outlet } from "react-router";
import { Button } from "../components/button";
import { cn } from "../components/class-names";
import { Preferences } from "./preferences";
import { useSession, useSignOut } from "./session";
import { TenantLink, useTenant } from "./tenant-link";

const pages = [
  { to: "/", label: "nav.overview", icon: LayoutDashboard, platform: false },
  { to: "/findings", label: "nav.findings", icon: TriangleAlert, platform: false },
  { to: "/admin/tenants", label: "nav.tenants", icon: Building2, platform: true },
] as const;

function item({ isActive }: { isActive: boolean }) {
  return cn(
    "flex items-center gap-3 rounded-md px-3 py-2 font-medium",
    isActive ? "bg-sunken text-link" : "text-text hover:bg-sunken",
  );
}

export function Shell() {
  const { t } = useTranslation();
  const session = useSession().data;
  const signOut = useSignOut();
  const chosen = useTenant();
  const tenant = chosen ?? session?.tenant?.display_name ?? t("app.allTenants");
  return (
    <div className="min-h-screen md:grid md:grid-cols-[14rem_1fr] md:grid-rows-[auto_1fr]">
      <a href="#content" className="bg-surface sr-only z-10 rounded p-2 focus:not-sr-only focus:absolute">
        {t("app.skip")}
      </a>
      <header className="bg-surface border-line flex flex-wrap items-center gap-3 border-b px-4 py-2 md:col-span-2">
        <span className="text-brand-strong text-lg font-bold">{t("app.name")}</span>
        <span className="text-muted truncate" title={t("app.tenant")}>
          {tenant}
        </span>
        <div className="ms-auto flex flex-wrap items-center gap-2">
          <Preferences />
          <span className="text-muted hidden sm:inline">{session?.email}</span>
          <Button
            size="small"
            onClick={() => {
              signOut.mutate();
            }}
            disabled={signOut.isPending}
          >
            <LogOut aria-hidden="true" className="size-4 rtl:rotate-180" />
            {t("app.signOut")}
          </Button>
        </div>
      </header>
      <nav
        aria-label={t("app.menu")}
        className="bg-surface border-line flex gap-1 overflow-x-auto border-b p-2 md:flex-col md:border-e md:border-b-0 md:p-3"
      >
        {pages
          .filter((page) => !page.platform || session?.is_super_admin)
          .map(({ to, label, icon: Icon }) => (
            <TenantLink key={to} to={to} className={item}>
              <Icon aria-hidden="true" className="size-4 shrink-0" />
              {t(label)}
            </TenantLink>
          ))}
      </nav>
      <main id="content" className="mx-auto w-full max-w-6xl p-4 md:p-6">
        <Outlet />
      </main>
    </div>
  );
}
