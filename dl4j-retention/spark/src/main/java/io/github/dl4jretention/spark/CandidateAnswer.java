package io.github.dl4jretention.spark;

import io.github.dl4jretention.sweep.task.FinetuneResult;
import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * What became of a candidate.
 *
 * @param result  null if it failed
 * @param score   null if it was pruned or failed
 * @param model   as a file; null if it was pruned or failed, or another candidate is better in everything
 * @param failure why it failed; null if it didn't
 */
record CandidateAnswer(
        @Nullable FinetuneResult result, @Nullable Double score, @Nullable ByteChunks model, @Nullable String failure)
        implements Serializable {}
