// A platform administrator looks at one tenant at a time; which one is part of the address (`?tenant=`), so that a
// link to a page shows the same page to the next reader.
import type { ReactNode } from "react";
import { NavLink, useSearchParams } from "react-router";

export function useTenant() {
  const [parameters] = useSearchParams();
  return parameters.get("tenant");
}

type Props = {
  to: string;
  search?: Record<string, string>;
  className?: string | ((state: { isActive: boolean }) => string);
  children: ReactNode;
};

/** A link that stays with the tenant one looks at. */
export function TenantLink({ to, search, className = "", children }: Props) {
  const tenant = useTenant();
  const query = new URLSearchParams({ ...(tenant === null ? {} : { tenant }), ...search });
  return (
    <NavLink to={{ pathname: to, search: query.toString() }} className={className} end={to === "/"}>
      {children}
    </NavLink>
  );
}
