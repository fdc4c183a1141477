"""What a video shows of one person: landmarks, hands, face, mask, and which frames to trust."""
