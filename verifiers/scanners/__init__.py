"""The devices that check cards at a venue: let in once by a code, known from then on by their own key."""
