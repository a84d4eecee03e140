/**
 * What a sweep has found: its candidates, their Pareto front and the recommended operating point, which {@code
 * sweep.json} holds. Calls the sweep's spaces and tasks and the core's eval package.
 */
package io.github.dl4jretention.sweep.outcome;
