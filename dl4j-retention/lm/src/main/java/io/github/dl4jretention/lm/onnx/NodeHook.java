package io.github.dl4jretention.lm.onnx;

import java.util.List;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.ir.OpNamespace;
import org.nd4j.samediff.frameworkimport.ImportGraph;
import org.nd4j.samediff.frameworkimport.hooks.PreImportHook;
import org.nd4j.samediff.frameworkimport.hooks.annotations.HookResult;
import org.nd4j.samediff.frameworkimport.registry.OpMappingRegistry;

/**
 * Imports one kind of ONNX node in place of DL4J's own mapping.
 *
 * <p>Not for users. Subclasses and this class are public because DL4J searches the class path for public classes with a
 * {@code @PreHookRule}; they may change in any release. Raw types stand for DL4J's, which have five to seven parameters each.
 */
@SuppressWarnings({"rawtypes", "unchecked"})
public abstract class NodeHook implements PreImportHook {

    /**
     * Adds the operations that stand for the node.
     *
     * @param name of the variable to return
     */
    abstract SDVariable build(SameDiff sd, String name, List<SDVariable> inputs, Map<String, ?> attributes);

    @Override
    public Map<String, List<SDVariable>> doImport(
            SameDiff sd,
            Map attributes,
            List outputNames,
            SameDiffOp op,
            OpMappingRegistry registry,
            ImportGraph graph,
            Map dynamicVariables) {
        String name = (String) outputNames.get(0);
        List<SDVariable> inputs =
                op.getInputsToOp().stream().map(sd::getVariable).toList();
        return Map.of(name, List.of(build(sd, name, inputs, attributes)));
    }

    @Override
    public HookResult preProcess(
            SameDiffOp op,
            SameDiff sd,
            Map attributes,
            OpNamespace.OpDescriptor descriptor,
            List outputNames,
            boolean isFinalOutput,
            OpMappingRegistry registry,
            ImportGraph graph,
            Map dynamicVariables) {
        return DefaultImpls.preProcess(
                this, op, sd, attributes, descriptor, outputNames, isFinalOutput, registry, graph, dynamicVariables);
    }

    @Override
    public Map<String, List<SDVariable>> handleOutputs(
            List outputNames,
            SameDiff sd,
            SameDiffOp op,
            Map attributes,
            OpMappingRegistry registry,
            ImportGraph graph,
            Map dynamicVariables) {
        return DefaultImpls.handleOutputs(this, outputNames, sd, op, attributes, registry, graph, dynamicVariables);
    }

    static int rank(SDVariable variable) {
        return variable.getShape() != null
                ? variable.getShape().length
                : variable.getArr().rank();
    }

    static double number(Map<String, ?> attributes, String name, double otherwise) {
        return attributes.get(name) instanceof Number value ? value.doubleValue() : otherwise;
    }
}
