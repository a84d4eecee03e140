package io.github.dl4jretention.samples.experiment;

import java.util.List;

/**
 * What is learned and what must not be forgotten.
 *
 * @param training text that the model is finetuned on
 * @param target   held-out text of the same kind
 * @param sources  held-out texts of what the model knew before
 */
public record Task(byte[] training, byte[] target, List<byte[]> sources) {}
