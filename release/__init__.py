"""What a release is made of, and under which licences. Not shipped."""
