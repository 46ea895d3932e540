"""The pages for analysts and managers: rendered here, in English and Finnish, from the same questions as the API."""
