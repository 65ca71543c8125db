"""Released models: trained models that come with the package, each with weights and a card."""
