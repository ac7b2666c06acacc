"""What an entitlement brings in money: approvals, the months credited for them, and what lapses."""
