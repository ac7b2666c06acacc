"""From what departments know to what people hold: facts, rules, decisions, entitlements, allowances."""
