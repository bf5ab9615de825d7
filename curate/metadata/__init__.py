"""Age, sex, region and diagnosis: raw values to coded ones, or to a finding; nothing is guessed."""
