"""From predictions to what is said of an allele: effects, E-values, features, classifiers, annotations."""
