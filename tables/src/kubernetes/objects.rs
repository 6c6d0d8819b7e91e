//! The tables of objects: names and columns are Steampipe's; `…_webhook_configuration` and the binding of admission policies,
//! which it lacks, follow its manner. What it has of manifests on disk and of Helm is no object of a cluster and left out.

use super::resource::resources;

resources! {
    /// Roles for the whole cluster.
    kubernetes_cluster_role: "/apis/rbac.authorization.k8s.io/v1", "clusterroles", cluster {
        rules: Json "/rules",
        aggregation_rule: Json "/aggregationRule",
    }

    /// Who has which role in the whole cluster.
    kubernetes_cluster_role_binding: "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", cluster {
        subjects: Json "/subjects",
        role_name: Text "/roleRef/name",
        role_api_group: Text "/roleRef/apiGroup",
        role_kind: Text "/roleRef/kind",
    }

    /// Configuration that pods read.
    kubernetes_config_map: "/api/v1", "configmaps", namespaced {
        immutable: Flag "/immutable",
        data: Json "/data",
        binary_data: Json "/binaryData",
    }

    /// Jobs by the clock.
    kubernetes_cronjob: "/apis/batch/v1", "cronjobs", namespaced {
        failed_jobs_history_limit: Number "/spec/failedJobsHistoryLimit",
        schedule: Text "/spec/schedule",
        time_zone: Text "/spec/timeZone",
        starting_deadline_seconds: Number "/spec/startingDeadlineSeconds",
        successful_jobs_history_limit: Number "/spec/successfulJobsHistoryLimit",
        suspend: Flag "/spec/suspend",
        concurrency_policy: Text "/spec/concurrencyPolicy",
        job_template: Json "/spec/jobTemplate",
        last_schedule_time: Time "/status/lastScheduleTime",
        last_successful_time: Time "/status/lastSuccessfulTime",
        active: Json "/status/active",
    }

    /// Kinds of objects that the cluster was taught.
    kubernetes_custom_resource_definition: "/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", cluster {
        spec: Json "/spec",
        status: Json "/status",
    }

    /// Sets of pods with one on each node.
    kubernetes_daemonset: "/apis/apps/v1", "daemonsets", namespaced {
        min_ready_seconds: Number "/spec/minReadySeconds",
        revision_history_limit: Number "/spec/revisionHistoryLimit",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        template: Json "/spec/template",
        update_strategy: Json "/spec/updateStrategy",
        current_number_scheduled: Number "/status/currentNumberScheduled",
        number_misscheduled: Number "/status/numberMisscheduled",
        desired_number_scheduled: Number "/status/desiredNumberScheduled",
        number_ready: Number "/status/numberReady",
        observed_generation: Number "/status/observedGeneration",
        updated_number_scheduled: Number "/status/updatedNumberScheduled",
        number_available: Number "/status/numberAvailable",
        number_unavailable: Number "/status/numberUnavailable",
        collision_count: Number "/status/collisionCount",
        conditions: Json "/status/conditions",
    }

    /// Sets of pods that are replaced step by step.
    kubernetes_deployment: "/apis/apps/v1", "deployments", namespaced {
        replicas: Number "/spec/replicas",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        template: Json "/spec/template",
        strategy: Json "/spec/strategy",
        min_ready_seconds: Number "/spec/minReadySeconds",
        revision_history_limit: Number "/spec/revisionHistoryLimit",
        paused: Flag "/spec/paused",
        progress_deadline_seconds: Number "/spec/progressDeadlineSeconds",
        observed_generation: Number "/status/observedGeneration",
        status_replicas: Number "/status/replicas",
        updated_replicas: Number "/status/updatedReplicas",
        ready_replicas: Number "/status/readyReplicas",
        available_replicas: Number "/status/availableReplicas",
        unavailable_replicas: Number "/status/unavailableReplicas",
        conditions: Json "/status/conditions",
        collision_count: Number "/status/collisionCount",
    }

    /// Addresses behind services.
    kubernetes_endpoint: "/api/v1", "endpoints", namespaced {
        subsets: Json "/subsets",
    }

    /// Addresses behind services, in slices.
    kubernetes_endpoint_slice: "/apis/discovery.k8s.io/v1", "endpointslices", namespaced {
        address_type: Text "/addressType",
        endpoints: Json "/endpoints",
        ports: Json "/ports",
    }

    /// What happened in the last hour or so.
    kubernetes_event: "/api/v1", "events", namespaced {
        last_timestamp: Time "/lastTimestamp",
        r#type: Text "/type",
        reason: Text "/reason",
        message: Text "/message",
        action: Text "/action",
        count: Number "/count",
        event_time: Time "/eventTime",
        first_timestamp: Time "/firstTimestamp",
        reporting_component: Text "/reportingComponent",
        reporting_instance: Text "/reportingInstance",
        involved_object: Json "/involvedObject",
        related: Json "/related",
        series: Json "/series",
        source: Json "/source",
    }

    /// What changes the number of pods by their load.
    kubernetes_horizontal_pod_autoscaler: "/apis/autoscaling/v2", "horizontalpodautoscalers", namespaced {
        scale_target_ref: Json "/spec/scaleTargetRef",
        min_replicas: Number "/spec/minReplicas",
        max_replicas: Number "/spec/maxReplicas",
        metrics: Json "/spec/metrics",
        scale_up_behavior: Json "/spec/behavior/scaleUp",
        scale_down_behavior: Json "/spec/behavior/scaleDown",
        observed_generation: Number "/status/observedGeneration",
        last_scale_time: Time "/status/lastScaleTime",
        current_replicas: Number "/status/currentReplicas",
        desired_replicas: Number "/status/desiredReplicas",
        current_metrics: Json "/status/currentMetrics",
        conditions: Json "/status/conditions",
    }

    /// Ways into the cluster by host and path.
    kubernetes_ingress: "/apis/networking.k8s.io/v1", "ingresses", namespaced {
        ingress_class_name: Text "/spec/ingressClassName",
        default_backend: Json "/spec/defaultBackend",
        tls: Json "/spec/tls",
        rules: Json "/spec/rules",
        load_balancer: Json "/status/loadBalancer/ingress",
    }

    /// Pods that run to an end.
    kubernetes_job: "/apis/batch/v1", "jobs", namespaced {
        parallelism: Number "/spec/parallelism",
        completions: Number "/spec/completions",
        active_deadline_seconds: Number "/spec/activeDeadlineSeconds",
        backoff_limit: Number "/spec/backoffLimit",
        manual_selector: Flag "/spec/manualSelector",
        ttl_seconds_after_finished: Number "/spec/ttlSecondsAfterFinished",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        template: Json "/spec/template",
        start_time: Time "/status/startTime",
        completion_time: Time "/status/completionTime",
        active: Number "/status/active",
        succeeded: Number "/status/succeeded",
        failed: Number "/status/failed",
        conditions: Json "/status/conditions",
    }

    /// Least and most of what containers of a namespace may ask for.
    kubernetes_limit_range: "/api/v1", "limitranges", namespaced {
        spec_limits: Json "/spec/limits",
    }

    /// What changes objects on their way into the cluster.
    kubernetes_mutating_webhook_configuration: "/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", cluster {
        webhooks: Json "/webhooks",
    }

    /// Namespaces.
    kubernetes_namespace: "/api/v1", "namespaces", cluster {
        spec_finalizers: Json "/spec/finalizers",
        phase: Text "/status/phase",
        conditions: Json "/status/conditions",
    }

    /// Which pods may talk to whom.
    kubernetes_network_policy: "/apis/networking.k8s.io/v1", "networkpolicies", namespaced {
        pod_selector: Json "/spec/podSelector",
        ingress: Json "/spec/ingress",
        egress: Json "/spec/egress",
        policy_types: Json "/spec/policyTypes",
    }

    /// Nodes; processors in thousandths and memory in bytes where the name ends in std.
    kubernetes_node: "/api/v1", "nodes", cluster {
        pod_cidr: Text "/spec/podCIDR",
        pod_cidrs: Json "/spec/podCIDRs",
        provider_id: Text "/spec/providerID",
        unschedulable: Flag "/spec/unschedulable",
        taints: Json "/spec/taints",
        config_source: Json "/spec/configSource",
        capacity_cpu: Text "/status/capacity/cpu",
        capacity_cpu_std: MilliCores "/status/capacity/cpu",
        capacity_memory: Text "/status/capacity/memory",
        capacity_memory_std: Bytes "/status/capacity/memory",
        allocatable_cpu: Text "/status/allocatable/cpu",
        allocatable_cpu_std: MilliCores "/status/allocatable/cpu",
        allocatable_memory: Text "/status/allocatable/memory",
        allocatable_memory_std: Bytes "/status/allocatable/memory",
        capacity: Json "/status/capacity",
        allocatable: Json "/status/allocatable",
        phase: Text "/status/phase",
        conditions: Json "/status/conditions",
        addresses: Json "/status/addresses",
        daemon_endpoints: Json "/status/daemonEndpoints",
        node_info: Json "/status/nodeInfo",
        images: Json "/status/images",
        volumes_in_use: Json "/status/volumesInUse",
        volumes_attached: Json "/status/volumesAttached",
        config: Json "/status/config",
    }

    /// Storage in the cluster.
    kubernetes_persistent_volume: "/api/v1", "persistentvolumes", cluster {
        storage_class: Text "/spec/storageClassName",
        volume_mode: Text "/spec/volumeMode",
        persistent_volume_reclaim_policy: Text "/spec/persistentVolumeReclaimPolicy",
        access_modes: Json "/spec/accessModes",
        capacity: Json "/spec/capacity",
        claim_ref: Json "/spec/claimRef",
        mount_options: Json "/spec/mountOptions",
        node_affinity: Json "/spec/nodeAffinity",
        persistent_volume_source: VolumeSource "/spec",
        phase: Text "/status/phase",
        message: Text "/status/message",
        reason: Text "/status/reason",
    }

    /// Storage that pods ask for.
    kubernetes_persistent_volume_claim: "/api/v1", "persistentvolumeclaims", namespaced {
        volume_name: Text "/spec/volumeName",
        volume_mode: Text "/spec/volumeMode",
        storage_class: Text "/spec/storageClassName",
        access_modes: Json "/spec/accessModes",
        data_source: Json "/spec/dataSource",
        resources: Json "/spec/resources",
        selector: Json "/spec/selector",
        phase: Text "/status/phase",
        status_access_modes: Json "/status/accessModes",
        capacity: Json "/status/capacity",
        conditions: Json "/status/conditions",
    }

    /// Pods; processors in thousandths and memory in bytes where the name ends in std.
    kubernetes_pod: "/api/v1", "pods", namespaced {
        volumes: Json "/spec/volumes",
        containers: Json "/spec/containers",
        containers_resources_limits_std: Limits "/spec/containers",
        containers_resources_requests_std: Requests "/spec/containers",
        ephemeral_containers: Json "/spec/ephemeralContainers",
        init_containers: Json "/spec/initContainers",
        restart_policy: Text "/spec/restartPolicy",
        termination_grace_period_seconds: Number "/spec/terminationGracePeriodSeconds",
        active_deadline_seconds: Text "/spec/activeDeadlineSeconds",
        dns_policy: Text "/spec/dnsPolicy",
        node_selector: Json "/spec/nodeSelector",
        service_account_name: Text "/spec/serviceAccountName",
        automount_service_account_token: Flag "/spec/automountServiceAccountToken",
        node_name: Text "/spec/nodeName",
        host_network: Flag "/spec/hostNetwork",
        host_pid: Flag "/spec/hostPID",
        host_ipc: Flag "/spec/hostIPC",
        share_process_namespace: Flag "/spec/shareProcessNamespace",
        security_context: Json "/spec/securityContext",
        image_pull_secrets: Json "/spec/imagePullSecrets",
        hostname: Text "/spec/hostname",
        subdomain: Text "/spec/subdomain",
        affinity: Json "/spec/affinity",
        scheduler_name: Text "/spec/schedulerName",
        tolerations: Json "/spec/tolerations",
        host_aliases: Json "/spec/hostAliases",
        priority_class_name: Text "/spec/priorityClassName",
        priority: Number "/spec/priority",
        dns_config: Json "/spec/dnsConfig",
        readiness_gates: Json "/spec/readinessGates",
        runtime_class_name: Text "/spec/runtimeClassName",
        enable_service_links: Flag "/spec/enableServiceLinks",
        preemption_policy: Text "/spec/preemptionPolicy",
        overhead: Json "/spec/overhead",
        topology_spread_constraints: Json "/spec/topologySpreadConstraints",
        set_hostname_as_fqdn: Flag "/spec/setHostnameAsFQDN",
        phase: Text "/status/phase",
        conditions: Json "/status/conditions",
        status_message: Text "/status/message",
        status_reason: Text "/status/reason",
        nominated_node_name: Text "/status/nominatedNodeName",
        host_ip: Text "/status/hostIP",
        pod_ip: Text "/status/podIP",
        pod_ips: Json "/status/podIPs",
        start_time: Time "/status/startTime",
        init_container_statuses: Json "/status/initContainerStatuses",
        container_statuses: Json "/status/containerStatuses",
        qos_class: Text "/status/qosClass",
        ephemeral_container_statuses: Json "/status/ephemeralContainerStatuses",
    }

    /// How many pods of a set may be missing at once.
    kubernetes_pod_disruption_budget: "/apis/policy/v1", "poddisruptionbudgets", namespaced {
        min_available: Text "/spec/minAvailable",
        selector: Json "/spec/selector",
        max_unavailable: Text "/spec/maxUnavailable",
    }

    /// Templates of pods that stand for themselves.
    kubernetes_pod_template: "/api/v1", "podtemplates", namespaced {
        template: Json "/template",
    }

    /// Sets of pods that are all alike.
    kubernetes_replicaset: "/apis/apps/v1", "replicasets", namespaced {
        replicas: Number "/spec/replicas",
        min_ready_seconds: Number "/spec/minReadySeconds",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        template: Json "/spec/template",
        status_replicas: Number "/status/replicas",
        fully_labeled_replicas: Number "/status/fullyLabeledReplicas",
        ready_replicas: Number "/status/readyReplicas",
        available_replicas: Number "/status/availableReplicas",
        observed_generation: Number "/status/observedGeneration",
        conditions: Json "/status/conditions",
    }

    /// Sets of pods, as they were before ReplicaSets.
    kubernetes_replication_controller: "/api/v1", "replicationcontrollers", namespaced {
        replicas: Number "/spec/replicas",
        min_ready_seconds: Number "/spec/minReadySeconds",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        template: Json "/spec/template",
        status_replicas: Number "/status/replicas",
        fully_labeled_replicas: Number "/status/fullyLabeledReplicas",
        ready_replicas: Number "/status/readyReplicas",
        available_replicas: Number "/status/availableReplicas",
        observed_generation: Number "/status/observedGeneration",
        conditions: Json "/status/conditions",
    }

    /// What a namespace may use altogether.
    kubernetes_resource_quota: "/api/v1", "resourcequotas", namespaced {
        spec_hard: Json "/spec/hard",
        spec_scopes: Json "/spec/scopes",
        spec_scope_selector: Json "/spec/scopeSelector",
        status_hard: Json "/status/hard",
        status_used: Json "/status/used",
    }

    /// Roles in a namespace.
    kubernetes_role: "/apis/rbac.authorization.k8s.io/v1", "roles", namespaced {
        rules: Json "/rules",
    }

    /// Who has which role in a namespace.
    kubernetes_role_binding: "/apis/rbac.authorization.k8s.io/v1", "rolebindings", namespaced {
        subjects: Json "/subjects",
        role_name: Text "/roleRef/name",
        role_api_group: Text "/roleRef/apiGroup",
        role_kind: Text "/roleRef/kind",
    }

    /// Secrets, by the names of their keys: values are never shown, nor what kubectl wrote of them.
    kubernetes_secret: "/api/v1", "secrets", namespaced {
        immutable: Flag "/immutable",
        r#type: Text "/type",
        data: Keys "/data",
        string_data: Keys "/stringData",
    }

    /// Names and addresses of sets of pods.
    kubernetes_service: "/api/v1", "services", namespaced {
        r#type: Text "/spec/type",
        allocate_load_balancer_node_ports: Flag "/spec/allocateLoadBalancerNodePorts",
        cluster_ip: Text "/spec/clusterIP",
        external_name: Text "/spec/externalName",
        external_traffic_policy: Text "/spec/externalTrafficPolicy",
        health_check_node_port: Number "/spec/healthCheckNodePort",
        ip_family_policy: Text "/spec/ipFamilyPolicy",
        load_balancer_ip: Text "/spec/loadBalancerIP",
        publish_not_ready_addresses: Flag "/spec/publishNotReadyAddresses",
        session_affinity: Text "/spec/sessionAffinity",
        session_affinity_client_ip_timeout: Number "/spec/sessionAffinityConfig/clientIP/timeoutSeconds",
        cluster_ips: Json "/spec/clusterIPs",
        external_ips: Json "/spec/externalIPs",
        ip_families: Json "/spec/ipFamilies",
        load_balancer_ingress: Json "/status/loadBalancer/ingress",
        load_balancer_source_ranges: Json "/spec/loadBalancerSourceRanges",
        ports: Json "/spec/ports",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        topology_keys: Json "/spec/topologyKeys",
    }

    /// Accounts of pods.
    kubernetes_service_account: "/api/v1", "serviceaccounts", namespaced {
        automount_service_account_token: Flag "/automountServiceAccountToken",
        image_pull_secrets: Json "/imagePullSecrets",
        secrets: Json "/secrets",
    }

    /// Sets of pods with names and storage of their own.
    kubernetes_stateful_set: "/apis/apps/v1", "statefulsets", namespaced {
        service_name: Text "/spec/serviceName",
        replicas: Number "/spec/replicas",
        selector_query: Selector "/spec/selector",
        selector: Json "/spec/selector",
        collision_count: Number "/status/collisionCount",
        available_replicas: Number "/status/availableReplicas",
        current_replicas: Number "/status/currentReplicas",
        current_revision: Text "/status/currentRevision",
        observed_generation: Number "/status/observedGeneration",
        pod_management_policy: Text "/spec/podManagementPolicy",
        ready_replicas: Number "/status/readyReplicas",
        revision_history_limit: Number "/spec/revisionHistoryLimit",
        updated_replicas: Number "/status/updatedReplicas",
        update_revision: Text "/status/updateRevision",
        conditions: Json "/status/conditions",
        template: Json "/spec/template",
        update_strategy: Json "/spec/updateStrategy",
    }

    /// Kinds of storage.
    kubernetes_storage_class: "/apis/storage.k8s.io/v1", "storageclasses", cluster {
        provisioner: Text "/provisioner",
        reclaim_policy: Text "/reclaimPolicy",
        allow_volume_expansion: Flag "/allowVolumeExpansion",
        volume_binding_mode: Text "/volumeBindingMode",
        allowed_topologies: Json "/allowedTopologies",
        mount_options: Json "/mountOptions",
        parameters: Json "/parameters",
    }

    /// Where policies in CEL hold, and what follows from a breach.
    kubernetes_validating_admission_policy_binding: "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", cluster {
        policy_name: Text "/spec/policyName",
        param_ref: Json "/spec/paramRef",
        match_resources: Json "/spec/matchResources",
        validation_actions: Json "/spec/validationActions",
    }

    /// What refuses objects on their way into the cluster.
    kubernetes_validating_webhook_configuration: "/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", cluster {
        webhooks: Json "/webhooks",
    }
}
