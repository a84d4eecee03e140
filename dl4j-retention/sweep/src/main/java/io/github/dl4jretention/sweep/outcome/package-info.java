/**
 * What a sweep has found: its candidates, their Pareto front and the recommended operating point, which {@code
 * sweep.json} holds. Calls the sweep's spaces and tasks and the core's eval package.
 */
@NullMarked
package io.github.dl4jretention.sweep.outcome;

import org.jspecify.annotations.NullMarked;
