"""From genome coordinates to dataset rows; nothing here knows of models, torch or transformers."""
