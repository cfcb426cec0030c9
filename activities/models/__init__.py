"""Activities that ask language models; litellm is imported in `litellm_client` alone."""
