"""Free material for small trainings: photographs, cut-outs and the shots of a film, out of package indexes."""
