package io.github.dl4jretention.samples.experiment;

import java.util.List;

/**
 * What is learned and what must not be forgotten, as tokens.
 *
 * @param training text that the model is finetuned on
 * @param target   held-out text of the same kind
 * @param sources  held-out texts of what the model knew before
 */
public record Task(int[] training, int[] target, List<int[]> sources) {}
