//! The words with which statements of nft begin (`parser_bison.y`). A file that holds another is refused as a whole.

/// Commands; what an object begins with stands for `add`.
const COMMANDS: &str = "\
    add create insert replace delete destroy flush get list reset rename import export monitor describe define undefine \
    redefine include table chain rule set map element flowtable counter quota limit ct secmark synproxy";
/// What a table holds.
const OF_TABLE: &str = "\
    flags comment policy chain set map flowtable counter quota limit ct secmark synproxy tunnel define undefine redefine \
    include";
/// What a chain says of itself, what a rule does, and what it looks at.
const OF_CHAIN: &str = "\
    type policy flags device devices comment define undefine redefine include \
    accept drop reject queue continue return jump goto log limit counter quota masquerade snat dnat redirect tproxy dup \
    fwd notrack set add update delete destroy map synproxy xt last flow reset handle position index \
    meta mark iif iifname iiftype iifgroup iifkind oif oifname oiftype oifgroup oifkind skuid skgid nftrace rtclassid \
    ibriport ibrname ibrport ibridgename ibrpvid ibrvproto ibrhwaddr obriport obrname obrport obridgename pkttype cpu \
    cgroup cgroupv2 ipsec secpath secmark random time day hour broute priority length protocol nfproto l4proto sdif \
    sdifname ct socket osf rt fib hash jhash symhash numgen exthdr hbh mh frag dst srh rt0 rt2 rt4 ether vlan arp ip ip6 \
    icmp icmpv6 igmp tcp udp udplite sctp dccp ah esp comp th vxlan geneve gre gretap tunnel xfrm inner exists";

fn holds(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// Whether nft knows what a statement begins with, outside of tables, in one, or in one of its chains. What begins with no word,
/// such as `$name` or `@th,0,8`, may be anything.
pub(super) fn begins_statement(text: &str, is_in_table: bool, is_in_chain: bool) -> bool {
    let is_in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let word = &text[..text.find(|letter: char| !is_in_word(letter)).unwrap_or(text.len())];
    !word.starts_with(|letter: char| letter.is_ascii_alphabetic())
        || holds(COMMANDS, word)
        || is_in_table && holds(OF_TABLE, word)
        || is_in_chain && holds(OF_CHAIN, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_nft_refuses_are_told_from_others() {
        for (text, is_in_table, is_in_chain, expected) in [
            ("flush ruleset", false, false, true),
            ("table inet filter", true, false, true),
            ("set ports { type inet_service }", true, false, true),
            ("chain input", true, true, true),
            ("type filter hook input priority 0", true, true, true),
            ("iifname \"lo\" accept", true, true, true),
            ("tcp dport { 22, 80 } accept", true, true, true),
            ("icmpv6 type nd-router-advert accept", true, true, true),
            ("$allowed accept", true, true, true),
            ("@th,0,8 1 drop", true, true, true),
            ("bogus bogus", false, false, false),
            ("bogus bogus", true, true, false),
            ("tcp dport 22 accept", false, false, false),
            ("accept", true, false, false),
            ("iptables -A INPUT -j ACCEPT", true, true, false),
        ] {
            assert_eq!(begins_statement(text, is_in_table, is_in_chain), expected, "{text}");
        }
    }
}
