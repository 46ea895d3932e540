"""Who may look: tokens, sign-in, what each scope opens, and the trail of who took what away."""
