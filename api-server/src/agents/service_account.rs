//! Proof that an enrolment comes from a pod of a tenant's own DaemonSet on a node of that tenant.
//!
//! The token alone says little: anybody who may create pods with that ServiceAccount could get one. So each link is
//! asked of the Kubernetes API server: the token (by `TokenReview`, for our audience), the ServiceAccount, the pod by its
//! UID, the DaemonSet that owns it, the node it runs on, and the label that only the platform sets on nodes.

use std::{collections::BTreeMap, time::Duration};

use catalog::wire::SERVICE_ACCOUNT_AUDIENCE;
use crds::names::{AGENT, LABEL_TENANT, agent_namespace, check_slug};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    core::v1::{Node, Pod},
};
use kube::{Api, Client, ResourceExt, api::PostParams};

use crate::error::{Error, Result};

/// Three calls to an API server that is next door.
const LIMIT: Duration = Duration::from_secs(10);

/// What a token proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The tenant.
    pub slug: String,
    /// The node the pod runs on.
    pub node_name: String,
    /// Its UID: the identity of the host.
    pub node_uid: String,
    /// The id of the instance at its cloud, where the node has one.
    pub provider_id: Option<String>,
}

/// What the token itself says, after `TokenReview`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    slug: String,
    namespace: String,
    pod_name: String,
    pod_uid: String,
    node_name: String,
    node_uid: String,
}

/// Checks every link.
///
/// # Errors
/// The first link that does not hold, in a sentence, or Kubernetes does not answer.
pub async fn verify(client: &Client, token: &str) -> Result<Proven> {
    let check = async {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![SERVICE_ACCOUNT_AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        let refuse = |sentence| Err(Error::EnrolmentRefused(sentence));
        if status.authenticated != Some(true) {
            return refuse("The ServiceAccount token does not hold for the audience tenantra.");
        }
        // An API server that does not know audiences leaves the list empty: such a token could be for anybody.
        if !status.audiences.unwrap_or_default().iter().any(|audience| audience == SERVICE_ACCOUNT_AUDIENCE) {
            return refuse("The ServiceAccount token is not for the audience tenantra.");
        }
        let claim = claim(&status.user.unwrap_or_default()).map_err(Error::EnrolmentRefused)?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &claim.namespace);
        let nodes: Api<Node> = Api::all(client.clone());
        let (pod, node) = tokio::try_join!(pods.get_opt(&claim.pod_name), nodes.get_opt(&claim.node_name))?;
        prove(claim, pod.as_ref(), node.as_ref()).map_err(Error::EnrolmentRefused)
    };
    match tokio::time::timeout(LIMIT, check).await {
        Ok(result) => result,
        Err(_) => Err(Error::Unavailable("The Kubernetes API server does not answer. Try again in a moment.")),
    }
}

fn claim(user: &UserInfo) -> Result<Claim, &'static str> {
    let name = user.username.as_deref().unwrap_or_default();
    let mut parts = name.strip_prefix("system:serviceaccount:").unwrap_or_default().splitn(2, ':');
    let namespace = parts.next().unwrap_or_default().to_owned();
    if parts.next() != Some(AGENT) {
        return Err("The token is not of the ServiceAccount tenantra-agent.");
    }
    let slug = namespace.strip_prefix(&agent_namespace("")).unwrap_or_default().to_owned();
    if check_slug(&slug).is_err() {
        return Err("The token is not of an agents' namespace (tenantra-agent-<slug>).");
    }
    let extra = user.extra.as_ref();
    let one = |key: &str, missing| {
        extra
            .and_then(|extra: &BTreeMap<String, Vec<String>>| extra.get(key))
            .and_then(|values| values.first())
            .filter(|value| !value.is_empty())
            .cloned()
            .ok_or(missing)
    };
    let unbound = "The token is not bound to a pod on a node. Use the projected token of the DaemonSet.";
    Ok(Claim {
        slug,
        namespace,
        pod_name: one("authentication.kubernetes.io/pod-name", unbound)?,
        pod_uid: one("authentication.kubernetes.io/pod-uid", unbound)?,
        node_name: one("authentication.kubernetes.io/node-name", unbound)?,
        node_uid: one("authentication.kubernetes.io/node-uid", unbound)?,
    })
}

fn prove(claim: Claim, pod: Option<&Pod>, node: Option<&Node>) -> Result<Proven, &'static str> {
    let pod = pod
        .filter(|pod| pod.uid().as_deref() == Some(claim.pod_uid.as_str()))
        .ok_or("The pod that the token is bound to does not exist any more.")?;
    let is_ours = pod.owner_references().iter().any(|owner| {
        owner.controller == Some(true)
            && owner.kind == "DaemonSet"
            && owner.api_version == "apps/v1"
            && owner.name == AGENT
    });
    if !is_ours {
        return Err("The pod is not owned by the DaemonSet tenantra-agent.");
    }
    let runs_on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if runs_on != Some(claim.node_name.as_str()) {
        return Err("The pod does not run on the node that the token names.");
    }
    let node = node
        .filter(|node| node.uid().as_deref() == Some(claim.node_uid.as_str()))
        .ok_or("The node that the token names does not exist any more.")?;
    if node.labels().get(LABEL_TENANT) != Some(&claim.slug) {
        return Err("The node does not belong to the tenant: its label tenantra.io/tenant says otherwise.");
    }
    let provider_id = node.spec.as_ref().and_then(|spec| spec.provider_id.clone()).filter(|id| !id.trim().is_empty());
    Ok(Proven { slug: claim.slug, node_name: claim.node_name, node_uid: claim.node_uid, provider_id })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::core::v1::{NodeSpec, PodSpec},
        apimachinery::pkg::apis::meta::v1::OwnerReference,
    };

    use super::*;

    fn user(name: &str) -> UserInfo {
        let extra = [("pod-name", "agent-1"), ("pod-uid", "p1"), ("node-name", "n"), ("node-uid", "n1")]
            .map(|(key, value)| (format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]));
        UserInfo { username: Some(name.to_owned()), extra: Some(BTreeMap::from(extra)), ..UserInfo::default() }
    }

    fn pod() -> Pod {
        let mut pod =
            Pod { spec: Some(PodSpec { node_name: Some("n".to_owned()), ..PodSpec::default() }), ..Pod::default() };
        pod.metadata.uid = Some("p1".to_owned());
        pod.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "DaemonSet".to_owned(),
            name: AGENT.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        }]);
        pod
    }

    fn node(slug: &str) -> Node {
        let mut node = Node { spec: Some(NodeSpec::default()), ..Node::default() };
        node.metadata.uid = Some("n1".to_owned());
        node.labels_mut().insert(LABEL_TENANT.to_owned(), slug.to_owned());
        node
    }

    const NAME: &str = "system:serviceaccount:tenantra-agent-acme:tenantra-agent";

    #[test]
    fn only_the_agents_service_account_counts() {
        assert_eq!(claim(&user(NAME)).unwrap().slug, "acme");
        for other in [
            "system:serviceaccount:tenantra-agent-acme:default",
            "system:serviceaccount:tenant-acme:tenantra-agent",
            "system:serviceaccount:tenantra-agent-:tenantra-agent",
            "system:serviceaccount:tenantra-agent-admin:tenantra-agent",
            "system:node:n",
            "",
        ] {
            assert!(claim(&user(other)).is_err(), "{other}");
        }
        let unbound = UserInfo { extra: None, ..user(NAME) };
        assert!(claim(&unbound).is_err());
    }

    #[test]
    fn every_link_is_needed() {
        let claim = claim(&user(NAME)).unwrap();
        assert!(prove(claim.clone(), Some(&pod()), Some(&node("acme"))).is_ok());
        assert!(prove(claim.clone(), None, Some(&node("acme"))).is_err());
        assert!(prove(claim.clone(), Some(&pod()), None).is_err());
        assert!(prove(claim.clone(), Some(&pod()), Some(&node("other"))).is_err());
        let break_pod = |change: fn(&mut Pod)| {
            let mut pod = pod();
            change(&mut pod);
            prove(claim.clone(), Some(&pod), Some(&node("acme")))
        };
        assert!(break_pod(|pod| pod.metadata.uid = Some("p2".to_owned())).is_err());
        assert!(break_pod(|pod| pod.metadata.owner_references = None).is_err());
        assert!(
            break_pod(|pod| pod.spec = Some(PodSpec { node_name: Some("m".to_owned()), ..PodSpec::default() }))
                .is_err()
        );
        let mut foreign = node("acme");
        foreign.metadata.uid = Some("n2".to_owned());
        assert!(prove(claim, Some(&pod()), Some(&foreign)).is_err());
    }
}
