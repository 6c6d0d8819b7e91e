import { createBrowserRouter } from "react-router";
import { FindingsPage } from "../features/findings/findings-page";
import { OverviewPage } from "../features/overview/overview-page";
import { SignInPage } from "../features/sign-in/sign-in-page";
import { TenantPage } from "../features/tenants/tenant-page";
import { TenantsPage } from "../features/tenants/tenants-page";
import { NotFound } from "./not-found";
import { RequireSession, RequireSuperAdmin } from "./session";
import { Shell } from "./shell";

export const router = createBrowserRouter([
  { path: "/sign-in", element: <SignInPage /> },
  {
    element: (
      <RequireSession>
        <Shell />
      </RequireSession>
    ),
    children: [
      { index: true, element: <OverviewPage /> },
      { path: "findings", element: <FindingsPage /> },
      {
        element: <RequireSuperAdmin />,
        children: [
          { path: "admin/tenants", element: <TenantsPage /> },
          { path: "admin/tenants/:slug", element: <TenantPage /> },
        ],
      },
      { path: "*", element: <NotFound /> },
    ],
  },
]);
