/* See inputs.h. */
#include "compiler/driver/inputs.h"

#include "runtime/random.h"

void cvm_fill_input(const CvmPort *port, int64_t classes, float rate, uint64_t seed, void *to) {
    int64_t count = 0;
    cvm_shape_count(&port->shape, &count);
    if (port->dtype == CVM_I32)
        for (int64_t i = 0; i < count; i++)
            ((int32_t *)to)[i] = (int32_t)(i % classes);
    else if (port->shape.rank == 0)
        *(float *)to = rate;
    else
        cvm_random_fill(to, count, seed, port->name, 1);
}

void cvm_fill_inputs(const CvmSession *session, CvmInstance *instance, float rate) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    int classes = session->train ? session->train->classes : 1;
    for (int i = 0; i < plan->input_count; i++)
        cvm_fill_input(&plan->inputs[i], classes, rate, 1,
                       cvm_instance_input(instance, plan->inputs[i].name));
}
