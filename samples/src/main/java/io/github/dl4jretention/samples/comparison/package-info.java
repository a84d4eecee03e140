/**
 * The comparison of finetuning methods: what is compared (Plan, Method, MergeKind), how one trial is run and measured,
 * the file of results, and what is made of it. Calls the samples' models, text and console, and dl4j-retention.
 */
@NullMarked
package io.github.dl4jretention.samples.comparison;

import org.jspecify.annotations.NullMarked;
